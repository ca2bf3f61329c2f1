# The pre-adaptation of 3DHR-Co as published for 3DPW (Lumentut and Lee 2023, sections III and IV.A), with MPS-Net as
# teacher. configs/3dhrco/README.md lists the choices that the paper leaves open.
pre_adapt = dict(
    type='PreAdapt',
    epochs=601,  # "600": checkpoints at 1, 201, 401, 601
    sequences=3, frames=8, lr=1e-5, adam_betas=(0.9, 0.999),
    corruption=dict(type='GaussianNoise', sigma=35.0),  # sigma1; 50 and 65 are the others
    weights=dict(pose=10.0, betas=0.1, camera=1.0, keypoints2d=1.0),  # lambda1 to lambda4
    teacher=dict(
        type='TemporalTeacher', network=dict(type='MPSNet', weights='data/mpsnet/mpsnet_model_best.pth.tar')))
