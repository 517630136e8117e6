"""Whether CSV files hold what they seem to hold, at the speed of memory.

An engine that reads CSV fast is lenient: it takes ``007`` for 7 and ``1e3`` for 1000, and whoever writes the value
again has changed it. :func:`scan_csv` looks through files beforehand, in compiled code, and says of each column whether
every text in it is the very one by which its type writes that value: then nothing is lost by reading it as that type.
"""

from osiris.csv_scan.columns import Column
from osiris.csv_scan.files import Findings, scan_csv
from osiris.csv_scan.library import why_not_compiled

__all__ = ["Column", "Findings", "scan_csv", "why_not_compiled"]
