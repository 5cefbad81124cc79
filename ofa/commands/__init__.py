"""The words after ``ofa``: each a module with ``main(arguments)``, which returns the exit status.

Start: table.py (which there are, and who is asked). Then run.py (jobs and sweeps: Hydra's side), plan.py, settings.py,
ui.py, serve.py and export.py. What is a package's or a module's own command (``ofa.timing``) stays there.
Nothing is imported before its command is asked for, so that each starts as fast as it can.
"""
