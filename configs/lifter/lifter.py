# Last stage of the lifter of LandmarkHMR (`open:lifter`): a warm restart on other observations, in which the network
# also learns to judge its own joints. CPU: about 10 minutes on one core.
_base_ = './lifter_early.py'

load_from = 'work_dirs/lifter_early/epoch_4.pth'
train_dataloader = dict(dataset=dict(seed=2))
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=1, end=1, eta_min=2e-6, convert_to_iter_based=True)]
