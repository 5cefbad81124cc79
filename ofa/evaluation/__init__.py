"""Scores: of the teacher, of a sub-network and of an exported file alike.

Start: scores.py (evaluate). Then metrics.py, parity.py (exported against scored), alarms.py (results that look
wrong).
Knows no settings and no stage.
"""
