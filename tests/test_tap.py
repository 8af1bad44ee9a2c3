"""What the service does to the process it runs in."""

import subprocess
import sys
from pathlib import Path

from processes import write_ini
from sasgate.lab.pki import Lab


_COUNTED = """
import gc, sys
from twisted.internet import reactor
from sasgate.tap import Options, makeService

options = Options()
options.parseOptions(["-c", sys.argv[1]])
makeService(options)
print(gc.get_freeze_count())
reactor.callWhenRunning(lambda: (print(gc.get_freeze_count()), reactor.stop()))
reactor.run()
"""


def test_once_it_runs_the_program_itself_is_not_looked_at_for_garbage(
    lab: Lab, tmp_path: Path
) -> None:
    ini = write_ini(lab, tmp_path)
    command = (sys.executable, "-c", _COUNTED, str(ini))
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    before, running = map(int, said.split())
    assert before < 1000 < running
