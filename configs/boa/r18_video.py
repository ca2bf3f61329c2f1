# BOA of the free start model on your own video, as it runs on the free stream.
_base_ = './r18_wild.py'
dataset = dict(
    _delete_=True, type='CocoKeypointsDataset',
    images='{{$HRTK_TEST_DATA:data}}/clips/single_person_demo.mp4',
    keypoints='{{$HRTK_TEST_DATA:data}}/annotations/single_person_coco.json',
    source='annotated')
