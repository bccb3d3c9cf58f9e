"""The demo that `dev.py demo` runs."""
