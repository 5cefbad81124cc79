"""What stands behind `ofa <command>`: a module for each, with `main(arguments) -> exit status`.

Start: serve.py. Nothing here is imported by the rest of the project.
"""
