# Analytic refinement of the free start model's predictions on the free wild stream.
_base_ = '../source/r18_wild.py'

adapter = dict(type='ClosedForm', rounds=1)
