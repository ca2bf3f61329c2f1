# Stage II on MPI-INF-3DHP with its own 17 joints and its official errors, without pre-training.
_base_ = ['../_base_/train_runtime.py', '../_base_/mpm_paper.py']

_base_.pop('h36m')
model = dict(type='LiftingTraining', joints='mpi17', network=dict(type='MPMStage2', frames=243, layers=4))
train_dataloader = dict(
    dataset=dict(type='MPIINF3DHPLifting', file='data/3dhp/data_train_3dhp.npz', frames=243))
test_dataloader = dict(dataset=dict(
    type='MPIINF3DHPLifting', file='data/3dhp/data_test_3dhp.npz', split='test', frames=243))
test_evaluator = dict(type='LiftingEvaluator', protocol='3dhp')
train_cfg = dict(max_epochs=100)
optim_wrapper = dict(optimizer=dict(lr=1.6e-3))
