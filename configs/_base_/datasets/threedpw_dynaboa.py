# 3DPW's test set as DynaBOA's script makes it: as threedpw.py, with crops that are not enlarged (its `scaleFactor = 1`;
# BOA and SPIN have 1.2).
_base_ = './threedpw.py'

dataset = dict(box_scale=1.0)
