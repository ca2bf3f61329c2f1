# The refinement of stage II on Human3.6M (Cai et al., ICCV 2019), which the paper adds there. It is told the camera and
# the true depth of the root, so its errors have names of their own. Rate 1e-4 as in the release's README; neither the
# paper nor the release says how long, 10 epochs are our choice.
_base_ = './stage2_h36m.py'

model = dict(_delete_=True, type='RefineTraining', network=dict(
    type='RefinedLifter', lifter=dict(type='MPMStage2', frames=243), pretrained='work_dirs/stage2_h36m/epoch_40.pth'))
train_cfg = dict(max_epochs=10)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
