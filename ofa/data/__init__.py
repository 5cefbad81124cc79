"""Rows of text, vocabularies, token ids and batches.

Start: sources.py (load_splits). Then rows.py (one file), tables.py (its form) and quotes.py, tokens.py (tokenize),
vocab.py, batches.py; fetch.py and negation.py make files.
Loads no Paddle: everything is NumPy.
"""
