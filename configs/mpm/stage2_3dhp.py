# Stage II on MPI-INF-3DHP in 16 joints, true 2D joints, 100 epochs (section 4.2), from stage1_all.py. Errors as in
# MPM's code: over all 16 joints, the root included.
_base_ = './stage2_h36m16.py'

model = dict(network=dict(pretrained='work_dirs/stage1_all/epoch_15.pth'))
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MPIINF3DHPLifting', file='data/3dhp/data_train_3dhp.npz', joints='h36m16', frames=243))
test_dataloader = dict(dataset=dict(
    _delete_=True, type='MPIINF3DHPLifting', file='data/3dhp/data_test_3dhp.npz', split='test', joints='h36m16',
    frames=243))
test_evaluator = dict(protocol='3dhp', metric='released')
train_cfg = dict(max_epochs=100)
