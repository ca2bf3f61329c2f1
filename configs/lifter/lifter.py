# Last stage of the lifter of LandmarkHMR (`open:lifter`): motion and cameras nearer to those of common footage, which
# are a stronger guide for depth. CPU: about 15 minutes on one core.
_base_ = './lifter_early.py'

load_from = 'work_dirs/lifter_early/epoch_4.pth'
_variety = dict(other_limb=0.1, added=0.4, bent=0.1, leaning=0.15, tilted=0.2)
train_dataloader = dict(dataset=dict(length=512_000, seed=2, variety=_variety))
val_dataloader = dict(dataset=dict(variety=_variety))
train_cfg = dict(max_epochs=2)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=2, end=2, eta_min=2e-6, convert_to_iter_based=True)]
