"""Tables of runs: rows of configs, seeds and options, run, scored and written."""

from hrtk.apis.tables.table import Row, Table, load_table

__all__ = ['Row', 'Table', 'load_table']
