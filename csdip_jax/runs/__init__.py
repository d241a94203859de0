"""The engine under every launcher: what is asked for, what it consists of, its folder and its rows."""
