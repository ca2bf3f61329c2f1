# Analytic refinement of the free start model's predictions on the free wild stream. The strength was chosen on seed
# 100 of the stream (docs/en/adapters/closed_form.md lists what was tried).
_base_ = '../source/r18_wild.py'

adapter = dict(type='ClosedForm', strength=0.5)
