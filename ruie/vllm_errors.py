"""Why vLLM could not load a model, in one line: model, cause, remedy."""

from __future__ import annotations

import re

from ruie.cli import UserError

LONGEST = 300  # characters of vLLM's own words; it lists all architectures that it knows
#: What vLLM says of a cause, and the remedy; the first that fits. Its own advice is left out, for
#: it names flags that are not ours.
REMEDIES = [
    (r"Engine core initialization failed|WorkerProc initialization failed",
     "the cause is the last error of a process above in the log; without the variable "
     "VLLM_ENABLE_V1_MULTIPROCESSING it is told here"),
    (r"\bmemory\b",
     "end what else takes memory there, lower max_input or max_new, or take a smaller model; on a "
     "CPU the variable VLLM_CPU_KVCACHE_SPACE is the GiB of the cache"),
    (r"max_model_len", "lower max_input or max_new"),
    (r"float16|float32|\bdtype\b", "give the model another dtype"),
    (r"architecture|forward method of|not support", "take the transformers back end"),
    (r"weights|deserializing|exceeds dimension|size mismatch|shape",
     "fetch the whole model again"),
    (r"tokenizer", "put the tokenizer's files into its folder"),
]  # fmt: skip
OTHERWISE = "mend its path, id or files, or take the transformers back end"


def cause(error: Exception) -> str:
    """The first sentence of what went wrong. A validation error of pydantic hides it behind a
    count of errors, and in front of the values that were checked."""
    text = str(error)
    if callable(listed := getattr(error, "errors", None)):
        first = listed()[0]
        where = ".".join(map(str, first["loc"]))
        text = (f"{where}: " if where else "") + re.sub(r"^\w+ (error|failed), ", "", first["msg"])
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!]) (?=[A-Z])", paragraph)[0].rstrip(". ")
    if len(sentence) > LONGEST:
        sentence = sentence[: LONGEST - 1] + "…"
    return sentence or type(error).__name__


def refused(model: str, error: Exception) -> UserError:
    why = cause(error)
    said = why.replace(model, "")  # whose name can hold any word
    remedy = next((r for pattern, r in REMEDIES if re.search(pattern, said, re.I)), OTHERWISE)
    return UserError(f"model {model}: vLLM cannot load it: {why}; {remedy}")
