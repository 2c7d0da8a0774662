"""Measures how fast children, steps and decoders are on this machine: a table, and JSON to compare machines with.

python scripts/benchmark.py
python scripts/benchmark.py --children 6 --published --pure --workers 2 --json runs/benchmark.json
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("benchmark"))
