# VIBE's training of the thesis on few-shot adaptation (UNIST, 2021), section 4.1: MPI-INF-3DHP in 3D, PennAction in 2D,
# AMASS for the critic, no 3DPW; with its metric loss between the clips that have 3D joints (section 3.3). The rates are
# VIBE's. Without the loss, its baseline: --cfg-options model.weights.metric=0.0
_base_ = './vibe_train_wo_3dpw.py'

model = dict(metric=dict(type='LogRatioLoss', variant='thesis', nearby='exclude', skip=3), weights=dict(metric=0.1))
train_dataloader = dict(dataset=dict(
    planar=[dict(type='VIBEClips', file='data/vibe/pennaction_train_db.pt', layout='pennaction')]))
