"""`python -m sasgate`: the `sasgate` command of exactly this interpreter."""

from sasgate.commands import main


main(prog_name="sasgate")
