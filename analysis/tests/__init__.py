"""Checks of load.py, of the figures' arithmetic and of the sweep files; all of them:
python scripts/python-tests.py analysis/tests
"""
