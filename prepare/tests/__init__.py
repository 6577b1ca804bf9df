"""Checks of prepare, on tiny made-up files and without network; python -m prepare.tests runs them
all.
"""
