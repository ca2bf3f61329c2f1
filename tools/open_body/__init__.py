"""How the bundled body is made from the CC0 files of MakeHuman/MPFB2; run by ``tools/build_open_body.py``."""
