"""Do the program's lists of fields name every field that the installed transformers and PEFT write?

    python check_fields.py

Reads the configuration classes' source, so that PyTorch is not needed. Exit code 1 and the names where fields are
missing in Sources/Transformers (Configuration/ModelConfiguration+Fields.swift and Families/) or in
Sources/Adapters/AdapterDescription+Fields.swift.
"""

import ast
import importlib.util
import re
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[3] / "Sources"


def listed(*paths):
    """All names in quotation marks of lists of fields."""
    texts = [file.read_text() for path in paths for file in SOURCES.glob(path)]
    return set(re.findall(r'"([A-Za-z_0-9]+)"', "\n".join(texts)))


def package(name):
    return Path(importlib.util.find_spec(name).submodule_search_locations[0])


def fields(path, name):
    """The fields of a configuration class, without those of its bases."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation)
            }
    sys.exit(f"check_fields: {path} has no class {name}")


def main():
    transformers, peft = package("transformers"), package("peft")
    written = fields(transformers / "configuration_utils.py", "PreTrainedConfig")
    models = {"bert": "Bert", "distilbert": "DistilBert", "gpt2": "GPT2", "llama": "Llama",
              "mistral": "Mistral", "modernbert": "ModernBert", "olmo2": "Olmo2", "phi3": "Phi3",
              "qwen2": "Qwen2", "qwen3": "Qwen3", "roberta": "Roberta", "smollm3": "SmolLM3",
              "xlm_roberta": "XLMRoberta"}
    for model, name in models.items():
        path = transformers / "models" / model / f"configuration_{model}.py"
        written |= fields(path, name + "Config")
    path = transformers / "models" / "gemma3" / "configuration_gemma3.py"
    written |= fields(path, "Gemma3TextConfig")
    missing = sorted(
        written
        - listed("Transformers/Configuration/ModelConfiguration+Fields.swift", "Transformers/Families/*.swift")
    )
    written = fields(peft / "config.py", "PeftConfigMixin") | fields(peft / "config.py", "PeftConfig")
    written |= fields(peft / "tuners" / "lora" / "config.py", "LoraConfig")
    missing += sorted(written - listed("Adapters/AdapterDescription+Fields.swift"))
    if missing:
        sys.exit("check_fields: not listed: " + ", ".join(missing))


if __name__ == "__main__":
    main()
