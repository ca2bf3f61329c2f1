# The baselines A1 and A2 of Rakesh et al. on LR-3DPW: SPIN learns from the OpenPose detections in DynaBOA's files. They
# were made on images of full resolution, the paper's on the reduced ones: here A1 and A2 have better keypoints.
_base_ = './r_lr_3dpw.py'

estimator = dict(
    _delete_=True, type='HMR', backbone=_base_.estimator.backbone, resolution=224,
    weights='data/spin/model_checkpoint.pt', body=_base_.estimator.body)
dataset = dict(dataset=dict(file='data/dynaboa/3dpw_*.npz', keypoints='openpose'))
adapter = dict(
    prior=None, every=0, silhouette=None, topology=None, weights=dict(keypoints2d=10.0))  # A1; A2 adds L_S
