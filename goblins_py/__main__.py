"""`python -m goblins_py` is `goblins`."""

from goblins_py.cli import main

if __name__ == "__main__":
    main()
