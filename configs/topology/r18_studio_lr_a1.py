# A1 of Table 5: 2D keypoints instead of masks, no prior, no fits.
_base_ = './r18_studio_lr.py'
adapter = dict(silhouette=None, topology=None, every=0, prior=None, weights=dict(keypoints2d=10.0))
