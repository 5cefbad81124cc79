"""What a user can set, the rules it must keep, and what a mistake is called.

Start: schema.py (Config). Then fields.py (which settings decide a result), compose.py (YAML to dataclasses),
types.py, words.py (text as it was typed), rules.py, explain.py.
Loads no Paddle, so a mistake costs half a second.
"""
