"""Turns models, texts and images into the two kinds of directory that the simulator reads.

A model directory as Hugging Face has it (config.json, model.safetensors, tokenizer.json), and a
data set (train, validation and test .safetensors with tokens and offsets, or images, and with
labels and clients).
Everything goes into $CELLM_HOME, once; the simulator itself never needs Python. Use:
scripts/prepare --help
"""
