# The baselines A1 and A2 of Rakesh et al. on UAP-H3M: SPIN learns from OpenPose's detections on the perturbed images,
# which you add to SPIN's npz as `openpose` (N, 25, 3). The paper keeps those of high confidence and does not state its
# threshold; here a confidence is a weight. It states no weight of the keypoints either.
_base_ = './r_uap_h36m.py'

estimator = dict(
    _delete_=True, type='HMR', backbone=_base_.estimator.backbone, resolution=224,
    weights='data/spin/model_checkpoint.pt', body=_base_.estimator.body)
dataset = dict(dataset=dict(file='data/topology/h36m_valid_protocol2_openpose.npz', keypoints='openpose'))
adapter = dict(
    prior=None, every=0, silhouette=None, topology=None, weights=dict(keypoints2d=10.0))  # A1; A2 adds L_S
