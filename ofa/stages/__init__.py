"""The stages: each reads the folders it needs, calls the library, and writes its own folder."""
