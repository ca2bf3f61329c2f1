# The start model without adaptation on the free wild stream.
_base_ = '../boa/r18_wild.py'
adapter = dict(_delete_=True, type='Source')
