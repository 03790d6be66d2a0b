"""Language models that answer prompts: vLLM, or plain transformers. Both decode greedily."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from ruie import cli, devices, encoders, feeding, prompt

BACKENDS = ("vllm", "transformers")


@dataclass(frozen=True)
class Settings:
    """What a model is loaded with; ``max_input`` and ``max_new`` are tokens (Appendix B)."""

    backend: str
    model: str
    dtype: str = "bfloat16"
    max_input: int = 1792
    max_new: int = 256
    chat: bool = False
    stop: tuple[str, ...] = ("\n",)
    seed: int = 0


@dataclass(frozen=True)
class Request:
    """A prompt in its parts: the best demonstration is the last."""

    instruction: str
    demonstrations: list[str]
    query: str


@dataclass(frozen=True)
class Answer:
    """The model's text, or an ``error`` in its place. ``used``: demonstrations in the prompt."""

    text: str
    used: int
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    error: str | None = None


class Backend(Protocol):
    """What a back end offers: its tokenizer, and greedy continuation of token ids."""

    tokenizer: Any

    def generate(self, prompts: list[list[int]]) -> list[tuple[str, int, str]]:
        """Text, tokens generated and finish reason (``stop`` or ``length``) of each prompt."""


def load(settings: Settings) -> Backend:
    if settings.backend == "vllm":
        return Vllm(settings)
    return Transformers(settings)


def token_ids(tokenizer: Any, chat: bool, text: str) -> list[int]:
    """The prompt as the model reads it, in its chat template where asked."""
    if chat:
        turn = [{"role": "user", "content": text}]
        text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    # the template has written the special tokens already
    out: list[int] = tokenizer(text, add_special_tokens=not chat, verbose=False)["input_ids"]
    return out


def too_long(tokens: int, allowed: int) -> str:
    return f"instruction and query take {tokens} tokens, over the {allowed} allowed"


def answer(backend: Backend, settings: Settings, requests: Sequence[Request]) -> list[Answer]:
    """Answers in the requests' order. A prompt is kept within ``max_input`` by dropping whole
    demonstrations; one that is too long even without any is answered with an error."""

    def ids(text: str) -> list[int]:
        return token_ids(backend.tokenizer, settings.chat, text)

    built, errors = [], {}
    for i, r in enumerate(requests):
        text, used = prompt.fit(
            r.instruction, r.demonstrations, r.query, lambda t: len(ids(t)), settings.max_input
        )
        tokens = ids(text)
        if len(tokens) > settings.max_input:
            errors[i] = too_long(len(tokens), settings.max_input)
        built.append((tokens, used))
    good = [i for i in range(len(built)) if i not in errors]
    texts = dict(zip(good, backend.generate([built[i][0] for i in good]), strict=True))
    out = []
    for i, (tokens, used) in enumerate(built):
        text, n, reason = texts.get(i, ("", 0, "error"))
        out.append(Answer(text.strip(), used, len(tokens), n, reason, errors.get(i)))
    return out


#: Read by vLLM from the environment; what a user has set there stands.
VLLM_DEFAULTS = {
    # With the scheduler in this process, what is batched together depends on the prompts alone
    # and not on timing: same prompts, same answers.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # CPU build: GiB of key/value cache, and no core left idle for a web server that is not there
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


class Vllm:
    """The vLLM engine (GPU build, or the CPU build where there is no GPU), in this process."""

    def __init__(self, settings: Settings) -> None:
        for name, value in VLLM_DEFAULTS.items():
            os.environ.setdefault(name, value)
        from vllm import LLM, SamplingParams

        options = {} if devices.device() != "cpu" else {"enforce_eager": True}
        try:
            self.engine = LLM(
                settings.model, dtype=settings.dtype, seed=settings.seed,
                max_model_len=settings.max_input + settings.max_new,
                enable_prefix_caching=True, **options,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            line = str(error).strip().split("\n")[0]
            raise cli.UserError(f"model {settings.model}: vLLM cannot load it: {line}") from None
        self.tokenizer = self.engine.get_tokenizer()
        self.sampling = SamplingParams(
            temperature=0, max_tokens=settings.max_new, stop=list(settings.stop)
        )

    def generate(self, prompts: list[list[int]]) -> list[tuple[str, int, str]]:
        # nothing that an earlier job left in the cache may touch this one's numbers
        self.engine.reset_prefix_cache()
        tokens = [{"prompt_token_ids": ids} for ids in prompts]
        done = self.engine.generate(tokens, self.sampling, use_tqdm=False) if tokens else []
        if done:
            held = sum(d.num_cached_tokens or 0 for d in done)
            whole = sum(map(len, prompts))
            cli.log.info("prefix cache: %d of %d prompt tokens (%.1f %%) were in it", held, whole,
                         100 * held / max(whole, 1))  # fmt: skip
        firsts = [d.outputs[0] for d in done]
        return [(o.text, len(o.token_ids), o.finish_reason or "stop") for o in firsts]


class Transformers:
    """``transformers`` generation in batches of similar length."""

    def __init__(self, settings: Settings, batch_tokens: int = 8192) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.settings, self.batch_tokens = settings, batch_tokens
        self.tokenizer = encoders.from_pretrained(AutoTokenizer, settings.model)
        self.model = encoders.from_pretrained(
            AutoModelForCausalLM, settings.model, dtype=getattr(torch, settings.dtype)
        )
        self.model.eval().to(devices.device())

    def generate(self, prompts: list[list[int]]) -> list[tuple[str, int, str]]:
        import torch

        end = self.tokenizer.eos_token_id
        also = self.model.generation_config.eos_token_id
        ends = {end, *(also if isinstance(also, list) else [also])} - {None}
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else end
        out: list[tuple[str, int, str]] = [("", 0, "")] * len(prompts)
        todo = list(feeding.parts([len(p) for p in prompts], self.batch_tokens))
        for rows in cli.progress(todo, len(todo), "generation batches"):
            width = max(len(prompts[r]) for r in rows)
            tokens = torch.full((len(rows), width), pad)
            mask = torch.zeros_like(tokens)
            for i, r in enumerate(rows):
                tokens[i, width - len(prompts[r]) :] = torch.tensor(prompts[r])
                mask[i, width - len(prompts[r]) :] = 1
            with torch.inference_mode():
                whole = self.model.generate(
                    tokens.to(self.model.device), attention_mask=mask.to(self.model.device),
                    max_new_tokens=self.settings.max_new, do_sample=False, pad_token_id=pad,
                    repetition_penalty=1.0,  # greedy, whatever the model's own settings
                    stop_strings=list(self.settings.stop) or None, tokenizer=self.tokenizer,
                )  # fmt: skip
            for i, r in enumerate(rows):
                out[r] = self._finish(whole[i, width:].tolist(), ends)
        return out

    def _finish(self, ids: list[int], ends: set[int]) -> tuple[str, int, str]:
        """Text up to the first stop string. A row that stopped early is padded on the right."""
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        stops = [at for s in self.settings.stop if (at := text.find(s)) >= 0]
        last = {*ends, self.tokenizer.pad_token_id}
        n = next((i for i, t in enumerate(ids) if t in last), len(ids))
        ended = bool(stops) or n < self.settings.max_new
        return text[: min(stops, default=len(text))], n, "stop" if ended else "length"


def add_arguments(p: cli.Parser) -> None:
    """Flags of ``Settings``."""
    p.add_argument("--backend", choices=BACKENDS, default="vllm")
    p.add_argument("--model", required=True, help="folder or Hugging Face id of the LLM")
    p.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    p.add_argument("--max-input", type=cli.positive, default=1792, help="tokens (%(default)s)")
    p.add_argument("--max-new", type=cli.positive, default=256, help="tokens (%(default)s)")
    p.add_argument("--chat", action="store_true", help="wrap the prompt in the chat template")
    p.add_argument("--stop", nargs="*", default=["\\n"], help=r"end an answer here (%(default)s)")
    p.add_argument("--seed", type=int, default=0)


def settings(args: Any) -> Settings:
    stop = tuple(s.replace("\\n", "\n") for s in args.stop)
    model = str(Path(args.model).resolve()) if Path(args.model).is_dir() else args.model
    return Settings(args.backend, model, args.dtype, args.max_input, args.max_new, args.chat, stop,
                    args.seed)  # fmt: skip


def as_arguments(s: Settings) -> list[str]:
    """The flags that ``settings`` reads back."""
    out = []
    for name, value in asdict(s).items():
        flag = "--" + name.replace("_", "-")
        if name == "chat":
            out += [flag] if value else []
        elif name == "stop":
            out += [flag, *(v.replace("\n", "\\n") for v in value)]
        else:
            out += [flag, str(value)]
    return out
