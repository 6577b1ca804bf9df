"""Corpora of images, and models that read them."""
