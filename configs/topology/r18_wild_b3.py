# B3 of Table 4: L_S, and L2 on skeletons.
_base_ = './r18_wild.py'
adapter = dict(topology='l2')
