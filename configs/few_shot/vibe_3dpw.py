# The thesis' few-shot adaptation of the released VIBE (section 4.2): MPI-INF-3DHP is the source, and samples of 3DPW's
# validation set are the shots. A sample of VIBE has 16 frames, so 50 samples are 800 frames. Files below data/.
_base_ = '../vibe/vibe_3dpw.py'

adapter = dict(
    type='FewShotMetric', shots=800, clip=16, parameters='network',
    labelled=dict(type='VIBEDatabase', file='data/vibe/3dpw_val_db.pt', image_root='data/3dpw', source='poses2d'),
    source=dict(
        batch=8, pool=256,  # 8 samples are the 128 frames of the thesis
        dataset=dict(
            type='SequenceClips', frames=16, length=256, resolution=224,
            dataset=dict(
                type='VIBEDatabase', file='data/vibe/mpii3d_train_db.pt', image_root='data/mpi_inf_3dhp_train',
                source='gt'))),
    batch=8, steps=1000, lr=5e-5,  # not stated; the rate is VIBE's
    variant='thesis', share=0.3, weights=dict(metric=1.0))
