"""Fits a surrogate on a table of evaluations and tells how good it is.

python scripts/fit_surrogate.py --table docs/results/collected-digits.csv.gz --out runs/surrogate
python scripts/fit_surrogate.py --table runs/digits.csv.gz --out runs/surrogate --report runs/surrogate-report
"""

import sys

from agents.commands import startup

if __name__ == "__main__":
    sys.exit(startup.run_command("fit_surrogate"))
