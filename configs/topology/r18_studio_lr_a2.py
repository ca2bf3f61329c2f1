# A2 of Table 5: 2D keypoints and L_S.
_base_ = './r18_studio_lr_a1.py'
adapter = dict(silhouette='chamfer')
