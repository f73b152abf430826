"""python -m preproc"""

from .cli import main

main()
