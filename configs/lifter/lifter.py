# Last stage of the lifter of LandmarkHMR (`open:lifter`): it learns to judge its own joints, and the bodies stay. A
# warm restart of all weights was not better on real people. CPU: about 2 minutes on one core.
_base_ = './lifter_early.py'

load_from = 'work_dirs/lifter_early/epoch_4.pth'
model = dict(judge_only=True)
train_dataloader = dict(dataset=dict(length=128_000, seed=2))
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=1, end=1, eta_min=2e-5, convert_to_iter_based=True)]
