"""One job from settings to results, its processes, and sweeps of many jobs.

Start: job.py (run_job). Then preflight.py (checks before anything is made), spawn.py (several devices), sweep.py,
hydra_callback.py.
Loads Paddle only once the settings are found right.
"""
