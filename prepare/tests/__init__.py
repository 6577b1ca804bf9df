"""Checks of prepare, on tiny made-up files and without network; all of them:
python scripts/python-tests.py prepare/tests
"""
