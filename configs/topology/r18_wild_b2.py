# B2 of Table 4: L_S alone.
_base_ = './r18_wild.py'
adapter = dict(topology=None)
