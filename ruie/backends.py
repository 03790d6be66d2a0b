"""Language models that answer prompts: vLLM, or plain transformers. Both decode greedily."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ruie import cli, constrain, devices, encoders, feeding, prompt, vllm_errors

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
    constrained: bool = False


@dataclass(frozen=True)
class Request:
    """A prompt in its parts: the best demonstration is the last. What follows is what an answer is
    constrained to."""

    instruction: str
    demonstrations: list[str]
    query: str
    task: str = ""
    labels: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Answer:
    """The model's text, or an ``error`` in its place. ``used``: demonstrations in the prompt;
    ``completion_tokens``: all that the model made, as a vLLM server's usage counts them: also its
    end token, and those that a stop string cut off."""

    text: str
    used: int
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    error: str | None = None


class Backend(Protocol):
    """What a back end offers: its tokenizer, and greedy continuation of token ids."""

    tokenizer: Any

    def generate(
        self, prompts: list[list[int]], grammars: Sequence[str] = ()
    ) -> list[tuple[str, int, str]]:
        """Text, tokens generated (the end's own included) and finish reason (``stop`` or
        ``length``) of each prompt, within its grammar where there are any."""


def load(settings: Settings) -> Backend:
    """The back end, computing in the dtype of the settings where the device has it."""
    settings = replace(settings, dtype=devices.arithmetic(settings.dtype))
    if settings.backend == "vllm":
        return Vllm(settings)
    return Transformers(settings)


def token_ids(tokenizer: Any, chat: bool, text: str) -> list[int]:
    """The prompt as the model reads it, in its chat template where asked."""
    if chat:
        turn = [{"role": "user", "content": text}]
        try:
            text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        except ValueError:
            raise cli.UserError(
                f"model {tokenizer.name_or_path}: has no chat template; set `chat` to false"
            ) from None
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
    prompts = [built[i][0] for i in good]
    if settings.constrained:
        asked = [requests[i] for i in good]
        done = backend.generate(prompts, [
            constrain.grammar(r.task, r.labels, r.text, settings.chat, settings.stop)
            for r in asked
        ])  # fmt: skip
    else:
        done = backend.generate(prompts)
    texts = dict(zip(good, done, strict=True))
    out = []
    for i, (tokens, used) in enumerate(built):
        text, n, reason = texts.get(i, ("", 0, "error"))
        text, error = text.strip(), errors.get(i)
        if settings.constrained and not error:
            r = requests[i]
            text, error = constrain.finish(text, reason, r.task, r.labels, r.text)
        out.append(Answer(text, used, len(tokens), n, "error" if error else reason, error))
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
        # before vLLM, which takes the first GPU that it sees
        options: dict[str, Any] = {} if devices.device() != "cpu" else {"enforce_eager": True}
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            raise cli.UserError(
                f"vLLM cannot be imported ({error}); run `make env`, or take the transformers back "
                "end"
            ) from None
        from safetensors import SafetensorError

        if settings.constrained:
            options["structured_outputs_config"] = {"backend": "guidance"}
        try:
            self.engine = LLM(
                settings.model, dtype=settings.dtype, seed=settings.seed,
                max_model_len=settings.max_input + settings.max_new,
                enable_prefix_caching=True, **options,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise vllm_errors.refused(settings.model, error) from None
        self.tokenizer = self.engine.get_tokenizer()
        self.sampling = SamplingParams(
            temperature=0, max_tokens=settings.max_new, stop=list(settings.stop)
        )

    def generate(
        self, prompts: list[list[int]], grammars: Sequence[str] = ()
    ) -> list[tuple[str, int, str]]:
        from vllm.sampling_params import StructuredOutputsParams

        each: list[Any] = []
        for grammar in grammars:
            params = self.sampling.clone()
            params.structured_outputs = StructuredOutputsParams(grammar=grammar)
            each.append(params)
        # nothing that an earlier job left in the cache may touch this one's numbers
        self.engine.reset_prefix_cache()
        # prompts that begin alike one after the other: what they share is in the cache still
        order = sorted(range(len(prompts)), key=prompts.__getitem__)
        tokens = [{"prompt_token_ids": prompts[i]} for i in order]
        params = [each[i] for i in order] if each else self.sampling
        done = self.engine.generate(tokens, params, use_tqdm=False) if tokens else []
        if done:
            held = sum(d.num_cached_tokens or 0 for d in done)
            whole = sum(map(len, prompts))
            cli.log.info("prefix cache: %d of %d prompt tokens (%.1f %%) were in it", held, whole,
                         100 * held / max(whole, 1))  # fmt: skip
        out = [("", 0, "")] * len(prompts)
        for i, o in zip(order, (d.outputs[0] for d in done), strict=True):
            out[i] = o.text, len(o.token_ids), o.finish_reason or "stop"
        return out


class Transformers:
    """``transformers`` generation in batches of similar length. Of an encoder-decoder's text the
    tokens that mark its structure stay (UIE answers in such)."""

    def __init__(self, settings: Settings, batch_tokens: int = 8192) -> None:
        import torch
        from transformers import (
            AutoConfig,
            AutoModelForCausalLM,
            AutoModelForSeq2SeqLM,
            AutoTokenizer,
        )

        self.settings, self.batch_tokens = settings, batch_tokens
        self.tokenizer = encoders.from_pretrained(AutoTokenizer, settings.model)
        # absent in configurations of some architectures
        config = encoders.from_pretrained(AutoConfig, settings.model)
        self.encodes = bool(getattr(config, "is_encoder_decoder", False))
        most = getattr(config.get_text_config(), "max_position_embeddings", None)
        if most and not self.encodes and settings.max_input + settings.max_new > most:
            raise cli.UserError(
                f"model {settings.model}: reads and writes {most} tokens at most, not "
                f"{settings.max_input} and {settings.max_new}; lower max_input or max_new"
            )
        kind = AutoModelForSeq2SeqLM if self.encodes else AutoModelForCausalLM
        self.model = encoders.from_pretrained(
            kind, settings.model, dtype=getattr(torch, settings.dtype)
        )
        self.model.eval().to(devices.device())
        self.reader: Any = None

    def generate(
        self, prompts: list[list[int]], grammars: Sequence[str] = ()
    ) -> list[tuple[str, int, str]]:
        import torch

        end = self.tokenizer.eos_token_id
        also = self.model.generation_config.eos_token_id
        ends = {end, *(also if isinstance(also, list) else [also])} - {None}
        # the tokenizer's end, too, as in vLLM: some models' own settings do not name it
        ended = {"eos_token_id": sorted(ends)} if ends else {}
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else end
        if grammars and not self.reader:
            self.reader = constrain.reader(self.tokenizer, sorted(ends))
        out: list[tuple[str, int, str]] = [("", 0, "")] * len(prompts)
        todo = list(feeding.parts([len(p) for p in prompts], self.batch_tokens))
        for rows in cli.progress(todo, len(todo), "generation batches"):
            width = max(len(prompts[r]) for r in rows)
            tokens = torch.full((len(rows), width), pad)
            mask = torch.zeros_like(tokens)
            for i, r in enumerate(rows):
                # on the left, so that new tokens follow at once; an encoder reads from the left
                first = 0 if self.encodes else width - len(prompts[r])
                tokens[i, first : first + len(prompts[r])] = torch.tensor(prompts[r])
                mask[i, first : first + len(prompts[r])] = 1
            masks = [constrain.Masks(self.reader, [grammars[r] for r in rows])] if grammars else []
            with torch.inference_mode():
                whole = self.model.generate(
                    tokens.to(self.model.device), attention_mask=mask.to(self.model.device),
                    max_new_tokens=self.settings.max_new, do_sample=False, pad_token_id=pad,
                    repetition_penalty=1.0,  # greedy, whatever the model's own settings
                    stop_strings=list(self.settings.stop) or None, tokenizer=self.tokenizer,
                    logits_processor=masks, **ended,
                )  # fmt: skip
            before = 1 if self.encodes else width  # a decoder's start token
            for i, r in enumerate(rows):
                out[r] = self._finish(whole[i, before:].tolist(), ends, pad)
        return out

    def _finish(self, ids: list[int], ends: set[int], pad: int | None) -> tuple[str, int, str]:
        """Text up to the first stop string. A row that stopped early is padded on the right."""
        n = len(ids)
        while n and ids[n - 1] == pad:
            n -= 1
        kept = [t for t in ids[:n] if t not in ends and not (self.encodes and t == pad)]
        # as it was generated: no space before a comma is taken away
        text = self.tokenizer.decode(
            kept, skip_special_tokens=not self.encodes, clean_up_tokenization_spaces=False
        )
        stops = [at for s in self.settings.stop if (at := text.find(s)) >= 0]
        if pad in ends and not stops and n < len(ids):
            n += 1  # the first of what looks like padding is the model's own end
        ended = bool(stops) or n < self.settings.max_new or ids[n - 1] in ends
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
    p.add_argument("--constrained", action="store_true",
                   help="labels of the schema and spans of the input alone")  # fmt: skip


def settings(args: Any) -> Settings:
    stop = tuple(s.replace("\\n", "\n") for s in args.stop)
    if "" in stop:
        raise cli.UserError("--stop: an empty string would end every answer before it begins")
    model = str(Path(args.model).resolve()) if Path(args.model).is_dir() else args.model
    return Settings(args.backend, model, args.dtype, args.max_input, args.max_new, args.chat, stop,
                    args.seed, args.constrained)  # fmt: skip


def as_arguments(s: Settings) -> list[str]:
    """The flags that ``settings`` reads back."""
    out = []
    for name, value in asdict(s).items():
        flag = "--" + name.replace("_", "-")
        if name in ("chat", "constrained"):
            out += [flag] if value else []
        elif name == "stop":
            out += [flag, *(v.replace("\n", "\\n") for v in value)]
        else:
            out += [flag, str(value)]
    return out
