# VIBE with 3DPW's training set, and with all 2D sets of the paper: InstaVariety, PennAction and PoseTrack. The released
# configuration has InstaVariety and MPI-INF-3DHP alone (vibe_train_wo_3dpw.py), and its classes the others.
_base_ = './vibe_train_wo_3dpw.py'

train_dataloader = dict(dataset=dict(
    planar=[
        dict(type='VIBEClips', file='data/vibe/insta_train_db.h5', layout='insta'),
        dict(type='VIBEClips', file='data/vibe/pennaction_train_db.pt', layout='pennaction'),
        dict(type='VIBEClips', file='data/vibe/posetrack_train_db.pt', layout='posetrack')],
    spatial=[
        dict(type='VIBEClips', file='data/vibe/mpii3d_train_db.pt', layout='mpii3d'),
        dict(type='VIBEClips', file='data/vibe/3dpw_train_db.pt', layout='3dpw')]))
