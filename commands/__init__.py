"""What each command of the command line does and prints; ``cli.py`` only parses."""
