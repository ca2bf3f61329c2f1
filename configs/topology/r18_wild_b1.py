# B1 of Table 4: L2 on silhouettes.
_base_ = './r18_wild.py'
adapter = dict(silhouette='l2', topology=None)
