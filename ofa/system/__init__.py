"""This process and the machine it runs on: files written whole, devices, seeds, ranks.

Start: process.py (prepare, set_device). Then ranks.py (the only file that calls paddle.distributed), files.py,
machine.py, ports.py, redact.py.
Knows no settings, no data and no model.
"""
