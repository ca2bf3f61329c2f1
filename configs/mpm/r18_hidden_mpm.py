# Hidden keypoints are filled in by masked pose modelling.
_base_ = './r18_hidden.py'

_stage1 = dict(
    type='MPMStage1', frames=27, channels=128, hidden=256, layers=3, dropout=0.0, mlp_dropout=0.0,
    weights='open:mpm_holes_open')
dataset = dict(transforms=[
    *_base_.dataset.transforms, dict(type='CompleteKeypoints', network=_stage1, fps=15, confidence=0.3)])
