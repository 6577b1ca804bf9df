"""Checks of load.py, of the figures' arithmetic and of the sweep files; run: python -m analysis.tests"""
