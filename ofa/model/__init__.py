"""Encoder classifiers: what kinds there are, their folders on disk, and networks in memory.

Start: network.py (load, build, save, forward). Then folder.py (a folder without Paddle), architectures.py (what
differs between kinds).
Only network.py and masked_words.py load Paddle, and weights.py for a pickle of its own.
"""
